-- A line sells a variant, named by SKU or else by 'Title - Option / Option'. What the catalogue does not know (gift wrap, a
-- product long gone) keeps its SKU, or an id made from its name. A SKU that several products share names none of them.
with variants as (
    select
        handle,
        without_apostrophe(sku) as variant_sku,
        nullif(concat_ws(' / ', nullif(option1, 'Default Title'), option2, option3), '') as options,
        arg_min(title, _row) over (partition by _file, handle) as title
    from products
    where coalesce(title, option1, sku, price) is not null
),

skus as (
    select variant_sku, count(distinct handle) = 1 as is_known from variants where variant_sku is not null group by variant_sku
),

named as (
    select
        replace(concat_ws(' - ', variants.title, variants.options), '&amp;', '&') as name,
        min(
            case
                when skus.is_known then variants.variant_sku
                else concat_ws('/', variants.handle, replace(variants.options, ' / ', '/'))
            end
        ) as product_id
    from variants
    left join skus on variants.variant_sku = skus.variant_sku
    group by name
),

lines as (
    select *, without_apostrophe(lineitem_sku) as sku
    from orders
    where name is null or coalesce(lineitem_name, lineitem_sku, lineitem_quantity) is not null
)

select
    lines.name as order_id,
    row_number() over (partition by lines._file, lines.name order by lines._row) as line_number,
    coalesce(
        case when skus.is_known then lines.sku end,
        named.product_id,
        lines.sku,
        line_named(lines.lineitem_name)
    ) as product_id,
    lines.lineitem_quantity as quantity,
    lines.lineitem_price as unit_price,
    lines._file,
    lines._row
from lines
left join skus on lines.sku = skus.variant_sku
left join named on replace(lines.lineitem_name, '&amp;', '&') = named.name
