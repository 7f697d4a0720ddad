-- A customer counts once a product and week, so that one who comes back every hour makes no trend.
with weeks as (
    select distinct
        customer_id,
        product_id,
        cast(floor({{ days_between('occurred_at', as_of()) }} / {{ var('trending_days') }}) as integer) as weeks_ago
    from {{ ref('interactions') }}
    where
        occurred_at >= {{ minus_days(as_of(), var('trending_days') * (1 + var('trending_weeks_before'))) }}
        and occurred_at < {{ as_of() }}
),

counted as (
    select
        product_id,
        count(*) filter (where weeks_ago < 1) as recent_customers,
        count(*) filter (where weeks_ago >= 1) as customers_before
    from weeks
    group by product_id
),

-- What the last days' share of everything is; a product that just moves with the shop has the same.
shared as (
    select
        product_id,
        recent_customers,
        customers_before,
        recent_customers + customers_before as customers,
        sum(recent_customers) over () / sum(recent_customers + customers_before) over () as recent_share
    from counted
),

-- Standard deviations above that share by a binomial, with a correction for continuity and a few customers' worth of doubt.
tested as (
    select
        *,
        (recent_customers - customers * recent_share - 0.5)
        / sqrt((customers + {{ var('trending_prior_customers') }}) * recent_share * (1 - recent_share)) as deviations,
        power(recent_customers - customers * recent_share, 2) / (customers * recent_share * (1 - recent_share)) as squared_deviation
    from shared
    where recent_share > 0 and recent_share < 1
),

-- Demand is livelier than a coin: deviations are measured against what is usual among this shop's products (the median of a squared
-- normal deviate is 0.455), the rule of quasi-likelihood (McCullagh and Nelder, 1989) with a median that the trends do not move.
usual as (
    select greatest(1, coalesce({{ median_of('squared_deviation') }} / 0.455, 1)) as dispersion from tested
    where customers >= {{ var('trending_min_customers') }}
),

scored as (
    select
        tested.product_id,
        products.category,
        tested.deviations / sqrt(usual.dispersion) as score,
        tested.recent_customers,
        tested.customers_before / cast({{ var('trending_weeks_before') }} as double) as usual_customers
    from tested
    cross join usual
    inner join {{ ref('products') }} as products on tested.product_id = products.product_id
    where products.is_available and products.minimum_age is null and tested.recent_customers >= {{ var('trending_min_customers') }}
),

rising as (
    select * from scored
    where score >= {{ var('trending_least_score') }}
),

listed as (
    select 'all' as category, product_id, score, recent_customers, usual_customers from rising
    union all
    select category, product_id, score, recent_customers, usual_customers from rising
    where category <> 'all'
),

ranked as (
    select
        category,
        cast(row_number() over (partition by category order by score desc, product_id asc) as integer) as rank,
        product_id,
        score,
        recent_customers,
        usual_customers,
        '{{ of_night("release_id") }}' as release_id
    from listed
)

select * from ranked
where rank <= {{ var('list_length') }}
order by category, rank
