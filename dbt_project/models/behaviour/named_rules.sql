with active as (
    select * from {{ ref('active_rules') }}
),

catalogue as (
    select product_id, parent_product_id, category, brand from {{ ref('stg_products') }}
),

-- Three joins: a shop may name a hundred thousand products one by one, but only so many categories and brands.
about_products as (
    select active.*, catalogue.product_id as about_product_id
    from active
    inner join catalogue on active.product_id = catalogue.product_id
    where
        (active.category is null or {{ in_category('catalogue.category', 'active.category') }})
        and (active.brand is null or catalogue.brand = active.brand)
),

about_variants as (
    select active.*, catalogue.product_id as about_product_id
    from active
    inner join catalogue on active.product_id = catalogue.parent_product_id
    where
        catalogue.product_id <> catalogue.parent_product_id
        and (active.category is null or {{ in_category('catalogue.category', 'active.category') }})
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

combined as (
    select * from about_products
    union all
    select * from about_variants
    union all
    select * from about_groups
),

named as (
    select
        rule_id,
        kind,
        about_product_id as product_id,
        segment,
        value,
        product_id is not null as names_product
    from combined
)

select * from named
order by rule_id, product_id
