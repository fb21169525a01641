-- Every branch that sold something on the day.
SELECT DISTINCT order_day AS day, branch FROM {orders} WHERE order_day BETWEEN @first AND @last
