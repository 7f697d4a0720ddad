with source as (
    select * from {{ source('raw', 'reviews') }}
    where {{ visible_at_night('reviewed_at') }}
),

renamed as (
    select
        review_id,
        product_id,
        customer_id,
        order_id,

        title,
        text,

        rating,
        helpful_votes,

        reviewed_at
    from source
)

select * from renamed
