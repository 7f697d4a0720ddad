-- The items of a purchase as it was told first, in their order; of those that a refund names, how many came back.
with purchases as (
    select *, ga4_order(ecommerce, event_params, user_pseudo_id, event_timestamp) as order_id
    from events
    where event_name = 'purchase'
),

firsts as (
    select * from purchases
    qualify row_number() over (partition by order_id order by try_cast(event_timestamp as bigint), _file, _row) = 1
),

lines as (
    select
        order_id,
        _file,
        _row,
        unnest(ga4_list(items)) as item,
        unnest(range(1, len(ga4_list(items)) + 1)) as line_number
    from firsts
),

refund_items as (
    select
        ga4_order(ecommerce, event_params, user_pseudo_id, event_timestamp) as order_id,
        unnest(ga4_list(items)) as item
    from events
    where event_name = 'refund'
),

returned as (
    select order_id, ga4_product(item) as product_id, sum(coalesce(try_cast(item ->> 'quantity' as decimal(18, 3)), 1)) as quantity
    from refund_items
    group by order_id, ga4_product(item)
)

select
    lines.order_id,
    lines.line_number,
    ga4_product(lines.item) as product_id,
    coalesce(lines.item ->> 'quantity', '1') as quantity,
    lines.item ->> 'price' as unit_price,
    returned.quantity as returned_quantity,
    lines._file,
    lines._row
from lines
left join returned on lines.order_id = returned.order_id and ga4_product(lines.item) = returned.product_id
