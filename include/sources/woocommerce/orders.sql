-- A guest (customer 0) is the account with the same e-mail address, or else a hash of the address.
with people as (
    select lower(trim(email)) as email, id from customers
    union all
    select lower(trim(try_cast(billing as json) ->> 'email')) as email, customer_id as id from orders where customer_id <> '0'
),

accounts as (
    select email, min(id) as customer_id from people where email <> '' group by email
),

given as (
    select
        *,
        nullif(lower(trim(try_cast(billing as json) ->> 'email')), '') as email,
        regexp_replace(lower(status), '^wc-', '') as progress,
        -list_sum(list_transform(json_values(refunds), lambda refund: try_cast(refund ->> 'total' as decimal(18, 4)))) as paid_back
    from orders
)

select
    given.id as order_id,
    coalesce(nullif(given.customer_id, '0'), accounts.customer_id, customer_of_email(given.email)) as customer_id,
    given.date_created_gmt as ordered_at,
    case
        when given.progress in ('cancelled', 'failed', 'trash', 'checkout-draft') then 'cancelled'
        when given.progress = 'refunded' then 'returned'
        when given.paid_back > 0 and given.paid_back >= try_cast(given.total as decimal(18, 4)) then 'returned'
        when given.progress = 'completed' then 'delivered'
        when given.progress in ('pending', 'on-hold') then 'created'
        else given.progress
    end as status,
    given.total,
    given.currency,
    given.date_completed_gmt as shipped_at,
    given.date_modified_gmt as updated_at,
    given._file,
    given._row
from given
left join accounts on given.email = accounts.email
