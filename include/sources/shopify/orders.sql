-- An order has a row a line, and only its first row says who, how much and how far; a row that cannot be parsed names no order
-- and goes on alone. A part that was paid back leaves the order as it is, for the export does not say which lines it was.
-- An order is a try-out if it was paid through Shopify's bogus gateway or carries the tag 'test'.
with first_rows as (
    select
        name as order_id,
        arg_min(email, _row) as email,
        arg_min(created_at, _row) as ordered_at,
        lower(arg_min(financial_status, _row)) as payment,
        lower(arg_min(fulfillment_status, _row)) as fulfilment,
        arg_min(fulfilled_at, _row) as shipped_at,
        arg_min(cancelled_at, _row) as cancelled_at,
        arg_min(total, _row) as total,
        try_cast(arg_min(refunded_amount, _row) as decimal(18, 4)) as refunded,
        arg_min(currency, _row) as currency,
        arg_min(payment_method, _row) as method,
        arg_min(tags, _row) as tags,
        _file,
        min(_row) as _row
    from orders
    group by name, _file, case when name is null then _row end
)

select
    order_id,
    customer_of_email(email) as customer_id,
    ordered_at,
    case
        when cancelled_at is not null or payment in ('voided', 'expired') then 'cancelled'
        when payment = 'refunded' then 'returned'
        when refunded > 0 and refunded >= try_cast(total as decimal(18, 4)) then 'returned'
        when fulfilment = 'fulfilled' then 'shipped'
        when fulfilment = 'partial' then 'processing'
        when payment in ('paid', 'partially_refunded') then 'paid'
        when payment in ('pending', 'authorized', 'partially_paid', 'unpaid') then 'created'
        else payment
    end as status,
    total,
    currency,
    shipped_at,
    coalesce(method ilike '%bogus%' or regexp_matches(tags, '(^|,)\s*test\s*(,|$)', 'i'), false) as is_test,
    _file,
    _row
from first_rows
