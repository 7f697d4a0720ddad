-- A product is a variant, known by its SKU, or else (there is none, or several products share it) by handle and options; all
-- variants of a handle are one product. Title, text and the like stand in the first row of a handle only, and a row of nothing
-- but a picture is no variant. Stock counts where Shopify tracks it and stops selling at nothing.
with rows_of_handles as (
    select
        *,
        without_apostrophe(sku) as variant_sku,
        nullif(concat_ws('/', nullif(option1, 'Default Title'), option2, option3), '') as options,
        lower(coalesce(inventory_policy, 'deny')) in ('continue', 'true') as sells_beyond_stock,
        count(inventory_tracker) over (partition by _file) > 0 and inventory_tracker is null as is_untracked
    from products
),

handles as (
    select
        _file,
        handle,
        arg_min(title, _row) as title,
        arg_min(body, _row) as description,
        arg_min(vendor, _row) as vendor,
        coalesce(nullif(arg_min(product_category, _row), 'Uncategorized'), arg_min(type, _row)) as category,
        coalesce(lower(arg_min(status, _row)), 'active') <> 'active' as is_unfinished,
        coalesce(lower(arg_min(published, _row)), 'true') = 'false' as is_unpublished,
        coalesce(lower(arg_min(gift_card, _row)), 'false') = 'true' as is_gift_card,
        arg_min(image, _row) as image_url
    from products
    group by _file, handle
),

skus as (
    select variant_sku, count(distinct handle) = 1 as is_known
    from rows_of_handles
    where variant_sku is not null
    group by variant_sku
)

select
    case when skus.is_known then variants.variant_sku else concat_ws('/', variants.handle, variants.options) end as product_id,
    handles.title,
    handles.description,
    handles.category,
    handles.vendor as brand,
    variants.price,
    case when not (variants.is_untracked or variants.sells_beyond_stock) then variants.inventory_quantity end as stock,
    coalesce(variants.variant_image, handles.image_url) as image_url,
    handles.is_unfinished or handles.is_unpublished or handles.is_gift_card as is_hidden,
    variants.handle as parent_product_id,
    variants._file,
    variants._row
from rows_of_handles as variants
left join handles on variants._file = handles._file and variants.handle is not distinct from handles.handle
left join skus on variants.variant_sku = skus.variant_sku
where
    variants.handle is null
    or coalesce(variants.title, variants.options, variants.option1, variants.variant_sku, variants.price) is not null
