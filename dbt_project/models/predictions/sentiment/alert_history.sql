{{ config(alias='sentiment_alerts', materialized='parquet') }}

-- What the shop's night before left; a night that is run again, or for a past moment, finds the same.
with before as (
    {{ read_parquet_if_any([of_night('earlier_alerts')], {
        'product_id': 'varchar',
        'raised_at': 'timestamp',
        'score_before': 'double',
        'score_then': 'double',
        'unhappy_then': 'bigint',
        'reviews_then': 'bigint',
        'p_value': 'double',
        'q_value': 'double',
        'cleared_at': 'timestamp',
        'cleared_because': 'varchar'
    }) }}
),

-- Over when recent reviews are back within their own noise (one standard error) of the level before, or when nobody writes any more.
judged as (
    select
        before.product_id,
        before.raised_at,
        before.score_before,
        before.score_then,
        before.unhappy_then,
        before.reviews_then,
        before.p_value,
        before.q_value,
        case
            when before.cleared_at is not null then before.cleared_because
            when
                opinions.recent_reviews >= {{ var('sentiment_alert_reviews') }}
                and opinions.recent_score >= before.score_before - opinions.recent_error
                then 'recovered'
            when
                coalesce(opinions.last_reviewed_at < {{ minus_days(as_of(), var('sentiment_alert_quiet_days')) }}, true)
                then 'quiet'
        end as cleared_because,
        before.cleared_at
    from before
    left join {{ ref('product_opinions') }} as opinions on before.product_id = opinions.product_id
),

kept as (
    select
        product_id,
        raised_at,
        score_before,
        score_then,
        unhappy_then,
        reviews_then,
        p_value,
        q_value,
        case when cleared_because is not null then coalesce(cleared_at, {{ as_of() }}) end as cleared_at,
        cleared_because
    from judged
),

raised as (
    select
        opinions.product_id,
        {{ as_of() }} as raised_at,
        opinions.earlier_score as score_before,
        opinions.recent_score as score_then,
        opinions.recent_unhappy as unhappy_then,
        opinions.recent_reviews as reviews_then,
        opinions.p_value,
        opinions.q_value,
        cast(null as timestamp) as cleared_at,
        cast(null as varchar) as cleared_because
    from {{ ref('product_opinions') }} as opinions
    left join before on opinions.product_id = before.product_id and before.cleared_at is null
    where opinions.has_fallen and before.product_id is null
),

combined as (
    select * from kept
    union all
    select * from raised
)

select * from combined
order by product_id, raised_at
