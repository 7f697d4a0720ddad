-- A variation is a product, and so is the one it is a variation of, which alone says category and whether it may be seen. Its
-- parent is named by SKU, or by 'id:' and number. Of several categories the deepest counts. A sale that begins or ends on a
-- day is not the price, and prices may be written with a comma. What may be ordered beyond its stock has none that counts.
with named as (
    select *, case when type like 'variation%' then parent else 'id:' || id end as parent_name from products
),

whole as (
    select *, unnest(['id:' || id, sku]) as own_name from products where type not like 'variation%'
),

joined as (
    select
        named.*,
        whole.id as parent_id,
        whole.published as parent_published,
        whole.images as parent_images,
        coalesce(whole.visibility, named.visibility) as seen,
        coalesce(whole.brands, named.brands) as brand,
        string_split(replace(coalesce(whole.categories, named.categories), '\,', chr(30)), ',') as paths,
        case when named.stock = 'parent' then whole.stock else named.stock end as pieces,
        case when named.sale_starts is null and named.sale_ends is null then named.sale_price end as lower_price
    from named
    left join whole on named._file = whole._file and named.parent_name = whole.own_name
)

select
    id as product_id,
    nullif(coalesce(parent_id, nullif(regexp_extract(parent_name, '^id:([0-9]+)$', 1), '')), id) as parent_product_id,
    regexp_replace(name, '^''([=+@-])', '\1') as title,
    replace(coalesce(description, short_description), '\n', chr(10)) as description,
    deepest_path(
        list_filter(
            list_transform(paths, lambda path: trim(replace(path, chr(30), ','))), lambda path: path not in ('', 'Uncategorized')
        )
    ) as category,
    brand,
    regexp_replace(coalesce(lower_price, regular_price), '^([0-9]+),([0-9]+)$', '\1.\2') as price,
    case
        when in_stock = 'backorder' or backorders in ('1', 'notify') then null
        when pieces is null and in_stock = '0' then '0'
        else pieces
    end as stock,
    string_split(coalesce(images, parent_images), ', ')[1] as image_url,
    coalesce(published, '1') <> '1' or coalesce(parent_published, '1') <> '1' or coalesce(seen, 'visible') = 'hidden' as is_hidden,
    _file,
    _row
from joined
