select
    id as order_id,
    1 as payment_sequence,
    payment_method as method,
    total as amount,
    date_paid_gmt as paid_at,
    _file,
    _row
from orders
where date_paid_gmt is not null and total is not null
