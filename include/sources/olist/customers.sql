-- Olist gives a buyer a new customer_id with every order; customer_unique_id is the person. One row an original row: the
-- repeats of a person are the same key again.
select
    customer_unique_id as customer_id,
    customer_city as city,
    customer_state as region,
    'Brazil' as country,
    'pt' as language,
    _file,
    _row
from customers
