with released as (
    select
        suspicions.review_id,
        suspicions.reason,
        reviews.product_id,
        reviews.customer_id,
        reviews.reviewed_at,
        suspicions.reviews,
        suspicions.like_review_id,
        reviews.weight,
        '{{ of_night("release_id") }}' as release_id
    from {{ ref('review_suspicions') }} as suspicions
    inner join {{ ref('reviews') }} as reviews on suspicions.review_id = reviews.review_id
)

select * from released
order by review_id, reason
