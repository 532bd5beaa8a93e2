"""What each page shows, as records: numbers, codes and names; the faces write the sentences.

In: an engine, what is live, who asks. Out: one view record a page. Always: a customer's page is
made from the customer's own rows; what a page cannot show is a decision with reasons.
"""

from jinqiao.flow.pages.calibration import CalibrationPage, calibration_page
from jinqiao.flow.pages.mine import (
    ApplicationView,
    ConsentView,
    DataPage,
    application_views,
    data_page,
)
from jinqiao.flow.pages.products import (
    Clause,
    Example,
    Leaving,
    ProductPage,
    go,
    leaving,
    origin_of,
    product_page,
)
from jinqiao.flow.pages.report import OperatorPage, issue_desk, open_desk, operator_page
from jinqiao.flow.pages.shelves import (
    NEEDS,
    Listed,
    OfferCard,
    ShelfPage,
    all_products,
    need_of,
    shelf_page,
)
from jinqiao.flow.pages.topics import one_piece, topics
from jinqiao.flow.pages.why import OfferWhy, WhyPage, why_not, why_page

__all__ = [
    "NEEDS",
    "ApplicationView",
    "CalibrationPage",
    "Clause",
    "ConsentView",
    "DataPage",
    "Example",
    "Leaving",
    "Listed",
    "OfferCard",
    "OfferWhy",
    "OperatorPage",
    "ProductPage",
    "ShelfPage",
    "WhyPage",
    "all_products",
    "application_views",
    "calibration_page",
    "data_page",
    "go",
    "issue_desk",
    "leaving",
    "need_of",
    "one_piece",
    "open_desk",
    "operator_page",
    "origin_of",
    "product_page",
    "shelf_page",
    "topics",
    "why_not",
    "why_page",
]
