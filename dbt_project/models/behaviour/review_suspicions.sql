with written as (
    select
        review_id,
        product_id,
        coalesce(customer_id, review_id) as writer,
        rating,
        reviewed_at,
        {{ midnight('reviewed_at') }} as review_day,
        {{ words_of("left(text, " ~ var('suspect_chars') ~ ")") }} as words
    from {{ ref('stg_reviews') }}
),

-- Short texts are alike by nature: nobody copied "Great product".
worded as (
    select
        review_id,
        product_id,
        writer,
        reviewed_at,
        words,
        {{ text_hash(words_as_text('words')) }} as said
    from written
    where {{ size_of_words('words') }} >= {{ var('suspect_words') }}
),

-- Who said it first is believed.
firsts as (
    select
        said,
        min_by(review_id, (reviewed_at, review_id)) as first_review_id,
        count(*) as reviews,
        count(distinct writer) as writers,
        count(distinct product_id) as products
    from worded
    group by said
),

copies as (
    select
        worded.review_id,
        'copy' as reason,
        firsts.reviews,
        firsts.first_review_id as like_review_id
    from worded
    inner join firsts on worded.said = firsts.said
    where worded.review_id <> firsts.first_review_id and (firsts.writers > 1 or firsts.products > 1)
),

shingled as (
    select
        worded.review_id,
        worded.product_id,
        worded.writer,
        worded.reviewed_at,
        {{ shingles_of('worded.words') }} as shingles
    from worded
    inner join firsts on worded.review_id = firsts.first_review_id
),

bands as (
    {% for band in range(var('suspect_bands')) -%}
    select
        review_id,
        reviewed_at,
        {{ band }} as band,
        {{ min_hashes('shingles', band, 2) }} as signature
    from shingled
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- A text is compared with the first of each band only, so that a thousand alike make a thousand pairs.
candidates as (
    select distinct review_id, first_review_id
    from (
        select
            review_id,
            first_value(review_id) over (partition by band, signature order by reviewed_at, review_id) as first_review_id
        from bands
    ) as banded
    where review_id <> first_review_id
),

alike as (
    select
        candidates.review_id,
        candidates.first_review_id
    from candidates
    inner join shingled as later on candidates.review_id = later.review_id
    inner join shingled as earlier on candidates.first_review_id = earlier.review_id
    where
        {{ likeness('later.shingles', 'earlier.shingles') }} >= {{ var('suspect_likeness') }}
        and (later.writer <> earlier.writer or later.product_id <> earlier.product_id)
),

near_copies as (
    select
        review_id,
        'near_copy' as reason,
        count(*) over (partition by min(first_review_id)) + 1 as reviews,
        min(first_review_id) as like_review_id
    from alike
    group by review_id
),

first_day as (
    select min(review_day) as first_day from written
),

span as (
    select
        count(*) as reviews,
        count(distinct product_id) * ({{ days_between('min(review_day)', 'max(review_day)') }} + 1) as product_days
    from written
    where product_id is not null
),

shop_days as (
    select
        review_day,
        count(*) as reviews,
        sum(count(*)) over (
            order by review_day range between interval '{{ var("suspect_burst_days") }}' day preceding and interval '1' day preceding
        ) as reviews_before
    from written
    where product_id is not null
    group by review_day
),

product_days as (
    select
        product_id,
        review_day,
        count(*) as reviews,
        sum(count(*)) over (
            partition by product_id
            order by review_day range between interval '{{ var("suspect_burst_days") }}' day preceding and interval '1' day preceding
        ) as reviews_before
    from written
    where product_id is not null
    group by product_id, review_day
),

-- What the product's last months, and for one with few the shop's, let expect of a day; more where the whole shop has a busy day.
counted_days as (
    select
        product_days.product_id,
        product_days.review_day,
        product_days.reviews,
        coalesce(product_days.reviews_before, 0) as reviews_before,
        shop_days.reviews as shop_reviews,
        shop_days.reviews_before as shop_reviews_before,
        least({{ days_between('first_day.first_day', 'product_days.review_day') }}, {{ var('suspect_burst_days') }}) as days_before
    from product_days
    inner join shop_days on product_days.review_day = shop_days.review_day
    cross join first_day
),

expected as (
    select
        counted_days.product_id,
        counted_days.review_day,
        counted_days.reviews,
        (counted_days.reviews_before + 1) / (counted_days.days_before + span.product_days / cast(span.reviews as double))
        * greatest(1, counted_days.shop_reviews * counted_days.days_before / counted_days.shop_reviews_before) as reviews_expected
    from counted_days
    cross join span
),

bursts as (
    select
        written.review_id,
        'burst' as reason,
        expected.reviews,
        cast(null as varchar) as like_review_id
    from written
    inner join expected on written.product_id = expected.product_id and written.review_day = expected.review_day
    where
        expected.reviews >= {{ var('suspect_burst_reviews') }}
        and (expected.reviews - expected.reviews_expected - 0.5) / sqrt(expected.reviews_expected + 1)
        >= {{ var('suspect_burst_deviations') }}
),

branded as (
    select
        written.review_id,
        written.writer,
        written.product_id,
        written.rating,
        products.brand
    from written
    inner join {{ ref('stg_products') }} as products on written.product_id = products.product_id
    where products.brand is not null and written.writer <> written.review_id
),

brands as (
    select brand, count(*) / cast(sum(count(*)) over () as double) as share from branded
    group by brand
),

-- Nothing but praise of nothing but one brand, oftener than its share of all reviews would make.
devoted as (
    select
        branded.writer,
        count(*) as reviews
    from branded
    inner join brands on branded.brand = brands.brand
    group by branded.writer
    having
        count(*) >= {{ var('suspect_brand_reviews') }}
        and count(distinct branded.brand) = 1
        and count(distinct branded.product_id) >= 3
        and min(branded.rating) = 5
        and power(max(brands.share), count(*) - 1) <= {{ var('suspect_brand_chance') }}
),

one_brand as (
    select
        branded.review_id,
        'one_brand' as reason,
        devoted.reviews,
        cast(null as varchar) as like_review_id
    from branded
    inner join devoted on branded.writer = devoted.writer
),

combined as (
    select * from copies
    union all
    select * from near_copies
    union all
    select * from bursts
    union all
    select * from one_brand
)

select * from combined
order by review_id, reason
