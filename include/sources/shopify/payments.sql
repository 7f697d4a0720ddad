-- What was paid for an order: an amount, told in its first row.
select
    name as order_id,
    1 as payment_sequence,
    payment_method as method,
    total as amount,
    paid_at,
    _file,
    _row
from orders
where paid_at is not null and total is not null
