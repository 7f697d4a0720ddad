with orders as (
    select order_id, customer_id, ordered_at from {{ ref('stg_orders') }}
    where coalesce(status, 'created') not in ('cancelled', 'returned')
),

items as (
    select
        order_id,
        line_number,
        product_id,
        coalesce(quantity, 1) - coalesce(returned_quantity, 0) as quantity,
        unit_price
    from {{ ref('stg_order_items') }}
    where coalesce(quantity, 1) > coalesce(returned_quantity, 0)
),

joined as (
    select
        items.order_id,
        items.line_number,
        orders.customer_id,
        items.product_id,
        items.quantity,
        cast(items.quantity * items.unit_price as decimal(18, 2)) as amount,
        orders.ordered_at as purchased_at
    from items
    inner join orders on items.order_id = orders.order_id
)

select * from joined
