{{ config(materialized='parquet') }}

-- Of what no product is named the shop's mean knows; reviews of any variant are about the product.
with scored as (
    select
        coalesce(variants.shown_product_id, sentiment.product_id) as product_id,
        reviews.reviewed_at,
        sentiment.score,
        reviews.weight
    from {{ ref('stg_review_sentiment') }} as sentiment
    inner join {{ ref('reviews') }} as reviews on sentiment.review_id = reviews.review_id
    left join {{ ref('product_variants') }} as variants on sentiment.product_id = variants.product_id
)

select * from scored
order by product_id, reviewed_at, score, weight
