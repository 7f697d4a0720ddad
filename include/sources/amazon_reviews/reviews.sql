-- One row a review, whichever generation wrote it. Reviews have no id of their own: the same words by the same person
-- at the same moment are the same review.
select
    key_of([
        user_id, reviewerID, parent_asin, asin, timestamp, unixReviewTime, rating, overall, title, summary, text, reviewText
    ]) as review_id,
    coalesce(parent_asin, asin) as product_id,
    coalesce(user_id, reviewerID) as customer_id,
    whole_number(coalesce(rating, overall)) as rating,
    coalesce(title, summary) as title,
    coalesce(text, reviewText) as text,
    coalesce(helpful_vote, replace(vote, ',', ''), try_cast(helpful as json) ->> 0) as helpful_votes,
    coalesce(from_unix_milliseconds(timestamp), from_unix_seconds(unixReviewTime)) as reviewed_at,
    _file,
    _row
from reviews
