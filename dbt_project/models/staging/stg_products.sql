with source as (
    select * from {{ source('raw', 'products') }}
    where {{ visible_at_night('created_at') }}
),

renamed as (
    select
        product_id,

        title,
        description,
        category,
        brand,
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
