"""The warehouse: its port, and the GoogleSQL that Gapless writes from a declaration.

Every statement is valid on BigQuery as it stands; what only the emulator was ever asked is listed in
`docs/decisions/0004-statements-on-the-emulator.md`. Values travel as parameters, never as text.
"""
