with blocked as (
    select distinct product_id from {{ ref('rules') }}
    where kind = 'block' and segment is null
),

ages as (
    select product_id, max(value) as minimum_age from {{ ref('rules') }}
    where kind = 'minimum_age'
    group by product_id
),

catalogue as (
    select
        stg_products.*,
        ages.minimum_age as shown_from_age,
        {{ on_sale('stg_products') }} and blocked.product_id is null as is_available,
        {{ join_texts(['title', 'category', 'brand', 'description']) }} as text
    from {{ ref('stg_products') }} as stg_products
    left join blocked on stg_products.product_id = blocked.product_id
    left join ages on stg_products.product_id = ages.product_id
),

-- A product that only facts name is not in the catalogue any more: known, never shown.
joined as (
    select
        product_activity.product_id,
        catalogue.title,
        catalogue.category,
        catalogue.brand,
        cast(catalogue.price as double) as price,
        coalesce(catalogue.is_available, false) as is_available,
        product_activity.is_repeatable,
        catalogue.is_repeatable as stated_repeatable,
        coalesce(catalogue.text, '') as text,
        {{ text_hash("coalesce(catalogue.text, '')") }} as text_hash,
        catalogue.created_at,
        product_activity.first_seen_at,
        catalogue.shown_from_age as minimum_age,
        coalesce(variants.shown_product_id, product_activity.product_id) as shown_product_id
    from {{ ref('product_activity') }} as product_activity
    left join catalogue on product_activity.product_id = catalogue.product_id
    left join {{ ref('product_variants') }} as variants on product_activity.product_id = variants.product_id
)

select * from joined
order by product_id
