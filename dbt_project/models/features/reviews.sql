with {{ masked_texts(ref('stg_reviews'), ['title', 'text']) }},

suspected as (
    select distinct review_id from {{ ref('review_suspicions') }}
),

-- Who gave no consent, or is no one person, trains no model: the review is read, its stars are not.
labelled as (
    select
        masked.review_id,
        masked.product_id,
        masked.customer_id,
        masked.full_text as text,
        masked.rating,
        case
            when masked.full_text = '' or not coalesce(known_customers.trains, true) then null
            when masked.rating <= 2 then 'negative'
            when masked.rating = 3 then 'neutral'
            when masked.rating >= 4 then 'positive'
        end as label,
        masked.reviewed_at,
        cast(case when suspected.review_id is null then 1 else {{ var('suspect_weight') }} end as double) as weight
    from masked
    left join {{ ref('known_customers') }} as known_customers on masked.customer_id = known_customers.customer_id
    left join suspected on masked.review_id = suspected.review_id
),

counted as (
    select
        label,
        reviewed_at,
        row_number() over (order by reviewed_at desc, review_id desc) as place_from_end,
        count(*) over () as total
    from labelled
    where label is not null
),

-- Reviews of one moment are never parted.
starts as (
    select
        min(reviewed_at) filter (where place_from_end <= ceil({{ var('review_test_share') }} * total)) as test_starts_at,
        min(reviewed_at) filter (where place_from_end <= ceil(1.5 * {{ var('review_test_share') }} * total)) as validation_starts_at
    from counted
),

split_by_time as (
    select
        labelled.review_id,
        labelled.product_id,
        labelled.customer_id,
        labelled.text,
        {{ text_hash('labelled.text') }} as text_hash,
        labelled.rating,
        labelled.label,
        labelled.reviewed_at,
        case
            when labelled.label is null then null
            when labelled.reviewed_at >= starts.test_starts_at then 'test'
            when labelled.reviewed_at >= starts.validation_starts_at then 'validation'
            else 'train'
        end as split,
        labelled.weight
    from labelled
    cross join starts
)

select * from split_by_time
order by review_id
