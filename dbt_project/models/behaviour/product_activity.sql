with catalogue as (
    select product_id, category, is_repeatable from {{ ref('stg_products') }}
),

seen as (
    select
        product_id,
        count(*) as interactions,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from {{ ref('activity') }}
    group by product_id
),

-- Bought again means on another day: two orders in one evening are one decision. Only customers who train models say so.
bought as (
    select
        product_id,
        customer_id,
        count(distinct cast(occurred_at as date)) > 1 as bought_again
    from {{ ref('weighted_activity') }}
    where event_type = 'purchase'
    group by product_id, customer_id
),

buyers as (
    select
        product_id,
        count(*) as buyers,
        count(*) filter (where bought_again) as repeat_buyers
    from bought
    group by product_id
),

named as (
    select product_id from catalogue
    union
    select product_id from seen
),

joined as (
    select
        named.product_id,
        catalogue.category,
        catalogue.is_repeatable as stated_repeatable,
        coalesce(seen.interactions, 0) as interactions,
        coalesce(buyers.buyers, 0) as buyers,
        coalesce(buyers.repeat_buyers, 0) as repeat_buyers,
        seen.first_seen_at,
        seen.last_seen_at
    from named
    left join catalogue on named.product_id = catalogue.product_id
    left join seen on named.product_id = seen.product_id
    left join buyers on named.product_id = buyers.product_id
),

-- A product with few buyers is believed to be like its category: (its repeat buyers + n * category's share) / (its buyers + n).
with_category as (
    select
        *,
        sum(repeat_buyers) over (partition by category) / nullif(sum(buyers) over (partition by category), 0) as category_share
    from joined
),

shared as (
    select
        *,
        (repeat_buyers + {{ var('repeatable_prior_buyers') }} * coalesce(category_share, 0))
        / (buyers + {{ var('repeatable_prior_buyers') }}) as repeat_share
    from with_category
),

judged as (
    select
        product_id,
        interactions,
        buyers,
        repeat_buyers,
        round(repeat_share, 6) as repeat_share,
        coalesce(stated_repeatable, repeat_share >= {{ var('repeatable_share') }} and buyers > 0) as is_repeatable,
        first_seen_at,
        last_seen_at
    from shared
)

select * from judged
order by product_id
