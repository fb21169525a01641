"""What is deployed against what is declared: tables, topics, subscriptions, schedules, functions, commits, callers.

`facts.observe` asks a `Deployment` for each area once; what cannot be asked is kept as `NotChecked` with the reason,
and never counts as fine. `diagnosis.findings` is a pure comparison, with a module for each subject. Things are matched
by what they do, not by what they are called: a subscription belongs to a function when it delivers to its address.
"""

# A commit that changes none of these deploys nothing new.
DEPLOYED_PATHS = ("shared/gapless", "requirements.txt")
