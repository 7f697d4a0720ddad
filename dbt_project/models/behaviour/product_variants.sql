with catalogue as (
    select
        stg_products.product_id,
        stg_products.parent_product_id,
        coalesce(stg_products.is_hidden, false) as is_hidden,
        {{ on_sale('stg_products') }} as is_on_sale
    from {{ ref('stg_products') }} as stg_products
),

parents as (
    select distinct parent_product_id as family_id from catalogue
    where parent_product_id <> product_id
),

members as (
    select
        catalogue.product_id,
        catalogue.is_hidden,
        catalogue.is_on_sale,
        parents.family_id
    from catalogue
    inner join parents on coalesce(catalogue.parent_product_id, catalogue.product_id) = parents.family_id
),

-- Blocked for everybody, or for some.
blocked as (
    select product_id, bool_or(segment is null) as is_gone from {{ ref('named_rules') }}
    where kind = 'block'
    group by product_id
),

acts as (
    select product_id from {{ ref('product_events') }}
    union all
    select product_id from {{ ref('purchases') }}
    union all
    select product_id from {{ ref('stg_reviews') }}
),

counted as (
    select members.product_id, count(*) as interactions
    from acts
    inner join members on acts.product_id = members.product_id
    group by members.product_id
),

-- One that everybody can have, as far as there is one; of these the one that is wanted most.
placed as (
    select
        members.family_id,
        members.product_id,
        first_value(members.product_id) over (
            partition by members.family_id
            order by
                members.is_on_sale and not coalesce(blocked.is_gone, false) desc,
                members.is_hidden asc,
                blocked.product_id is not null asc,
                coalesce(counted.interactions, 0) desc,
                members.product_id asc
        ) as shown_product_id
    from members
    left join blocked on members.product_id = blocked.product_id
    left join counted on members.product_id = counted.product_id
),

-- What variants have in common may be named by events and reviews though it is no product.
named as (
    select product_id, shown_product_id, true as is_product from placed
    union all
    select distinct placed.family_id as product_id, placed.shown_product_id, false as is_product
    from placed
    left join catalogue on placed.family_id = catalogue.product_id
    where catalogue.product_id is null
)

select * from named
order by product_id
