{{ config(alias='product_sentiment', materialized='parquet') }}

with open_alerts as (
    select product_id from {{ ref('alert_history') }}
    where cleared_at is null
),

judged as (
    select
        opinions.product_id,
        opinions.reviews,
        opinions.mean_score,
        opinions.recent_score,
        opinions.trend,
        open_alerts.product_id is not null as alert,
        opinions.trend_error,
        opinions.p_value,
        opinions.q_value,
        opinions.recent_reviews
    from {{ ref('product_opinions') }} as opinions
    left join open_alerts on opinions.product_id = open_alerts.product_id
)

select * from judged
order by product_id
