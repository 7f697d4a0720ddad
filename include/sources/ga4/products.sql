-- There is no catalogue: a product is what items say of it, each value as it was said last.
with items_told as (
    select
        unnest(ga4_list(items)) as item,
        ga4_param(event_params, 'currency') as currency,
        try_cast(event_timestamp as bigint) as told_at
    from events
    where items is not null and event_name is not null
),

told as (
    select
        ga4_product(item) as product_id,
        nullif(nullif(item ->> 'item_name', '(not set)'), '') as title,
        nullif(nullif(item ->> 'item_brand', '(not set)'), '') as brand,
        category_path(
            list_filter(
                [
                    item ->> 'item_category', item ->> 'item_category2', item ->> 'item_category3', item ->> 'item_category4',
                    item ->> 'item_category5'
                ],
                lambda level: level not in ('', '(not set)')
            )
        ) as category,
        nullif(item ->> 'price', '') as price,
        currency,
        told_at
    from items_told
)

select
    product_id,
    arg_max(title, (told_at, title)) as title,
    arg_max(brand, (told_at, brand)) as brand,
    arg_max(category, (told_at, category)) as category,
    arg_max(price, (told_at, price)) as price,
    arg_max(currency, (told_at, currency)) as currency
from told
where product_id is not null
group by product_id
