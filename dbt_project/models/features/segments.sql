-- As `customer_rfm` has it, of what was known when a split began: tonight's segment knows what the customer did since.
with starts as (
    select split, starts_at from {{ ref('splits') }}
    where split in ('validation', 'test')
),

judged as (
    select distinct customer_id, split from {{ ref('labels') }}
),

days as (
    select
        customer_id,
        cast(occurred_at as date) as active_date,
        max(occurred_at) as last_at
    from {{ ref('interactions') }}
    group by customer_id, cast(occurred_at as date)
),

seen as (
    select
        starts.split,
        days.customer_id,
        count(*) as active_days,
        {{ days_between('max(days.last_at)', 'max(starts.starts_at)') }} as recency_days,
        (max(days.active_date) - min(days.active_date)) / (count(*) - 1.0) as gap_days
    from days
    inner join starts on days.last_at < starts.starts_at
    group by starts.split, days.customer_id
),

returning_customers as (
    select
        split,
        {{ median_of('gap_days') }} as usual_gap_days,
        {{ quantile_of('active_days', var('loyal_quantile')) }} as loyal_days
    from seen
    where active_days > 1
    group by split
),

joined as (
    select
        judged.customer_id,
        judged.split,
        coalesce(seen.active_days, 0) as active_days,
        seen.recency_days,
        greatest(seen.gap_days, returning_customers.usual_gap_days) as gap_days,
        returning_customers.loyal_days
    from judged
    left join seen on judged.customer_id = seen.customer_id and judged.split = seen.split
    left join returning_customers on judged.split = returning_customers.split
),

segmented as (
    select
        customer_id,
        split,
        {{ segment_of('active_days', 'recency_days', 'gap_days', 'loyal_days') }} as segment
    from joined
)

select * from segmented
order by split, customer_id
