with source as (
    select * from {{ source('raw', 'products') }}
    where {{ visible_at_night('created_at') }}
),

renamed as (
    select
        product_id,
        parent_product_id,

        {{ plain_text('title') }} as title,
        {{ plain_text('description') }} as description,
        {{ plain_path('category') }} as category,
        {{ plain_text('brand') }} as brand,
        currency,
        image_url,

        price,
        stock,
        minimum_age,

        is_repeatable,
        is_hidden,

        available_until,
        created_at
    from source
)

select * from renamed
