-- A basket is an order, carried home from the shop.
select
    basket_id as order_id,
    min(household_id) as customer_id,
    min(transaction_timestamp) as ordered_at,
    'delivered' as status,
    sum(try_cast(sales_value as decimal(18, 4)))::decimal(18, 2) as total,
    'USD' as currency,
    arg_min(_file, (_file, _row)) as _file,
    arg_min(_row, (_file, _row)) as _row
from transactions
group by basket_id
