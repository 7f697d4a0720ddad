-- The metadata's products, and those that only reviews name (all of them where there is no metadata).
with described as (
    select
        coalesce(parent_asin, asin) as product_id,
        nullif(trim(title), '') as title,
        nullif(concat_ws(' ', json_words(description), json_words(coalesce(features, feature))), '') as description,
        -- Pieces of the scraped page got in between the levels, and in place of a category and a price.
        coalesce(
            category_path(list_filter(json_texts(coalesce(categories, category)), lambda level: level not like '%<%')),
            case when coalesce(main_category, main_cat) not like '%<%' then nullif(coalesce(main_category, main_cat), '') end
        ) as category,
        nullif(regexp_replace(trim(coalesce(brand, store)), '^by\s+', ''), '') as brand,
        -- '$12.99', '12.99', or '$10.00 - $25.00' (from).
        replace(nullif(regexp_extract(price, '^\$?([0-9][0-9,]*(\.[0-9]+)?)( - .*)?$', 1), ''), ',', '') as price,
        coalesce(try_cast(images as json) ->> '$[0].large', try_cast(imageURL as json) ->> '$[0]') as image_url,
        _file,
        _row
    from metadata
),

named as (
    select distinct coalesce(parent_asin, asin) as product_id from reviews
    where coalesce(parent_asin, asin) is not null
)

select
    coalesce(described.product_id, named.product_id) as product_id,
    described.title,
    described.description,
    described.category,
    described.brand,
    described.price,
    case when described.price is not null then 'USD' end as currency,
    described.image_url,
    described._file,
    described._row
from described
full join named on described.product_id = named.product_id
