with source as (
    select * from {{ source('raw', 'answers') }}
    where {{ visible_at_night() }}
),

renamed as (
    select
        answer_id,

        question,
        answer,
        intent,
        language
    from source
)

select * from renamed
