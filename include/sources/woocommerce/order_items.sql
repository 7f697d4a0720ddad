-- A line is numbered by its own id, which a refund names. It sells a variation, or the product itself; one that names neither
-- (the product is gone) has an id made from what it is called.
with lines as (
    select id as order_id, _file, _row, unnest(json_values(line_items)) as line from orders
),

refund_lines as (
    select unnest(json_values(line_items)) as line from refunds
),

returned as (
    select
        list_filter(json_values(line ->> 'meta_data'), lambda entry: entry ->> 'key' = '_refunded_item_id')[1] ->> 'value' as line_id,
        -sum(try_cast(line ->> 'quantity' as decimal(18, 3))) as quantity
    from refund_lines
    group by line_id
)

select
    lines.order_id,
    lines.line ->> 'id' as line_number,
    coalesce(nullif(lines.line ->> 'variation_id', '0'), nullif(lines.line ->> 'product_id', '0'), line_named(lines.line ->> 'name'))
        as product_id,
    lines.line ->> 'quantity' as quantity,
    lines.line ->> 'price' as unit_price,
    nullif(returned.quantity, 0) as returned_quantity,
    lines._file,
    lines._row
from lines
left join returned on lines.line ->> 'id' = returned.line_id
