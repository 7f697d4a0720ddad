-- Accounts. Names and addresses stay in the export, but for where the customer lives.
select
    id as customer_id,
    nullif(try_cast(billing as json) ->> 'city', '') as city,
    nullif(try_cast(billing as json) ->> 'state', '') as region,
    nullif(try_cast(billing as json) ->> 'country', '') as country,
    date_created_gmt as registered_at,
    _file,
    _row
from customers
