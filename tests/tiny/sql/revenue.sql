-- Orders and revenue of each branch that sold on a day, over that day and the six days before it.
SELECT
  d AS day,
  o.branch,
  COUNTIF(o.order_day = d) AS orders_today,
  COUNT(*) AS orders_7_days,
  SUM(o.amount_cents) AS amount_cents_7_days
FROM UNNEST(@dates) AS d
JOIN (
  SELECT order_day, branch, amount_cents FROM {orders}
  WHERE order_day BETWEEN DATE_SUB(@first, INTERVAL {orders.lookback} DAY) AND @last
) AS o ON o.order_day BETWEEN DATE_SUB(d, INTERVAL {orders.lookback} DAY) AND d
GROUP BY d, o.branch
HAVING COUNTIF(o.order_day = d) > 0
