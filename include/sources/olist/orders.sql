-- The person is looked up; an order whose buyer is not among the customers keeps the id it names. What was to pay is what
-- was paid in all. A status that is not known here goes on as it is, for the contract to judge.
with people as (
    select customer_id, min(customer_unique_id) as customer_unique_id from customers group by customer_id
),

amounts as (
    select order_id, sum(try_cast(payment_value as decimal(18, 2))) as total from payments group by order_id
)

select
    orders.order_id,
    coalesce(people.customer_unique_id, orders.customer_id) as customer_id,
    orders.order_purchase_timestamp as ordered_at,
    case orders.order_status
        when 'approved' then 'paid'
        when 'invoiced' then 'processing'
        when 'unavailable' then 'cancelled'
        when 'canceled' then 'cancelled'
        else orders.order_status
    end as status,
    amounts.total,
    'BRL' as currency,
    orders.order_estimated_delivery_date as promised_at,
    orders.order_delivered_carrier_date as shipped_at,
    orders.order_delivered_customer_date as delivered_at,
    orders._file,
    orders._row
from orders
left join people on orders.customer_id = people.customer_id
left join amounts on orders.order_id = amounts.order_id
