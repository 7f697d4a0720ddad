with active as (
    select * from {{ ref('active_rules') }}
),

named as (
    select * from {{ ref('named_rules') }}
),

catalogue as (
    select product_id, category, brand, minimum_age from {{ ref('stg_products') }}
),

variants as (
    select product_id, shown_product_id from {{ ref('product_variants') }}
    where is_product
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

of_shop as (
    select rule_id, kind, product_id, case when kind <> 'minimum_age' then segment end as segment, value from named
    where kind in ('limit', 'minimum_age')
),

of_one as (
    select * from of_shop
    union all
    select * from by_setting
    union all
    select * from by_product
),

-- Variants have limits and ages in common, whichever of them a list comes to show: the highest age that is said of any.
of_all_variants as (
    select
        of_one.rule_id,
        of_one.kind,
        coalesce(other_variants.product_id, of_one.product_id) as product_id,
        of_one.segment,
        max(of_one.value) as value
    from of_one
    left join variants on of_one.product_id = variants.product_id
    left join variants as other_variants on variants.shown_product_id = other_variants.shown_product_id
    group by of_one.rule_id, of_one.kind, coalesce(other_variants.product_id, of_one.product_id), of_one.segment
),

-- A block takes away the variant that it names, and no other.
blocks as (
    select rule_id, kind, product_id, segment, value from named
    where kind = 'block'
),

segments as (
    select 'all' as segment
    union
    select segment from {{ ref('customer_rfm') }}
),

-- One place for a product and one product for a place in each segment: a segment's own rule first, then the smaller place and id.
pinned as (
    select
        named.rule_id,
        coalesce(variants.shown_product_id, named.product_id) as product_id,
        segments.segment,
        named.value,
        case when named.segment is null then 2 else 1 end as turn
    from named
    inner join segments on named.segment is null or named.segment = segments.segment
    left join variants on named.product_id = variants.product_id
    where named.kind = 'pin' and named.names_product and named.value > 0
    qualify
        row_number() over (
            partition by segments.segment, coalesce(variants.shown_product_id, named.product_id)
            order by named.segment nulls last, named.value, named.rule_id
        ) = 1
),

pins as (
    select rule_id, 'pin' as kind, product_id, segment, value from pinned
    qualify row_number() over (partition by segment, value order by turn, rule_id) = 1
),

combined as (
    select * from blocks
    union all
    select * from of_all_variants
    union all
    select * from pins
)

select rule_id, kind, product_id, segment, cast(value as integer) as value
from combined
order by kind, rule_id, segment, product_id
