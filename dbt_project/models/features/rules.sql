with active as (
    select * from {{ ref('stg_rules') }}
    where
        coalesce(valid_from <= {{ as_of() }}, true)
        and coalesce(valid_until > {{ as_of() }}, true)
        and coalesce(product_id, category, brand) is not null
        and (kind = 'block' or value is not null)
),

catalogue as (
    select product_id, category, brand, minimum_age from {{ ref('stg_products') }}
),

-- Two joins: a shop may name a hundred thousand products one by one, but only so many categories and brands.
about_products as (
    select active.*, catalogue.product_id as about_product_id
    from active
    inner join catalogue on active.product_id = catalogue.product_id
    where
        (active.category is null or {{ in_category('catalogue.category', 'active.category') }})
        and (active.brand is null or catalogue.brand = active.brand)
),

about_groups as (
    select active.*, catalogue.product_id as about_product_id
    from active
    inner join catalogue
        on (active.category is null or {{ in_category('catalogue.category', 'active.category') }})
        and (active.brand is null or catalogue.brand = active.brand)
    where active.product_id is null
),

named as (
    select * from about_products
    union all
    select * from about_groups
),

stated as (
    select
        rule_id,
        kind,
        about_product_id as product_id,
        case when kind <> 'minimum_age' then segment end as segment,
        value
    from named
    where kind <> 'pin'
),

-- A limit that names just this category or brand stands in for the setting.
limits_of_settings as (
    select
        'max_of_category: ' || catalogue.category as rule_id,
        catalogue.product_id,
        {{ var('max_of_category') }} as value
    from catalogue
    left join active
        on catalogue.category = active.category
        and active.kind = 'limit'
        and active.product_id is null
        and active.brand is null
        and active.segment is null
    where active.rule_id is null
    union all
    select
        'max_of_brand: ' || catalogue.brand as rule_id,
        catalogue.product_id,
        {{ var('max_of_brand') }} as value
    from catalogue
    left join active
        on catalogue.brand = active.brand
        and active.kind = 'limit'
        and active.product_id is null
        and active.category is null
        and active.segment is null
    where active.rule_id is null
    union all
    select 'max_of_own_brands' as rule_id, product_id, {{ var('max_of_own_brands') }} as value from catalogue
    where brand in (''{% for brand in var('own_brands') %}, {{ quote(brand) }}{% endfor %})
),

by_setting as (
    select rule_id, 'limit' as kind, product_id, cast(null as varchar) as segment, value from limits_of_settings
    where rule_id is not null and value > 0
),

by_product as (
    select 'products.minimum_age' as rule_id, 'minimum_age' as kind, product_id, cast(null as varchar) as segment, minimum_age as value
    from catalogue
    where minimum_age > 0
),

segments as (
    select 'all' as segment
    union
    select segment from {{ ref('customer_rfm') }}
),

-- One place for a product and one product for a place in each segment: a segment's own rule first, then the smaller place and id.
pinned as (
    select
        about_products.rule_id,
        about_products.about_product_id as product_id,
        segments.segment,
        about_products.value,
        case when about_products.segment is null then 2 else 1 end as turn
    from about_products
    inner join segments on about_products.segment is null or about_products.segment = segments.segment
    where about_products.kind = 'pin' and about_products.value > 0
    qualify
        row_number() over (
            partition by segments.segment, about_products.about_product_id
            order by about_products.segment nulls last, about_products.value, about_products.rule_id
        ) = 1
),

pins as (
    select rule_id, 'pin' as kind, product_id, segment, value from pinned
    qualify row_number() over (partition by segment, value order by turn, rule_id) = 1
),

combined as (
    select * from stated
    union all
    select * from by_setting
    union all
    select * from by_product
    union all
    select * from pins
)

select rule_id, kind, product_id, segment, cast(value as integer) as value
from combined
order by kind, rule_id, segment, product_id
