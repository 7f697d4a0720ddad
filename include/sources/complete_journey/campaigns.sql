-- All campaigns mail coupons; the type says to whom.
select
    campaign_id,
    'Coupons ' || campaign_type as name,
    'promotion' as kind,
    start_date as starts_at,
    end_date as ends_at,
    _file,
    _row
from campaign_descriptions
