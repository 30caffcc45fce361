"""All routes of the service, one file per route or group of like routes."""

from easq.service.http.route import Route
from easq.service.routes.dashboard import BOARD, DASHBOARD
from easq.service.routes.dashboard_page import DASHBOARD_FILES
from easq.service.routes.demo_page import DEMO_ASKING, DEMO_FILES
from easq.service.routes.events import EVENTS
from easq.service.routes.health import LIVE, READY
from easq.service.routes.items import ITEMS
from easq.service.routes.metrics import METRICS
from easq.service.routes.questionnaire import ANSWER, DISMISS, IGNORED, OFFER, SHOWN
from easq.service.routes.rank import RANK
from easq.service.routes.schema import schema_route
from easq.service.routes.status import STATUS
from easq.service.routes.users import USERS
from easq.service.routes.widget import WIDGET

_DESCRIBED: tuple[Route, ...] = (
    RANK,
    EVENTS,
    ITEMS,
    USERS,
    OFFER,
    SHOWN,
    ANSWER,
    DISMISS,
    IGNORED,
    STATUS,
    DASHBOARD,
    BOARD,
    METRICS,
    LIVE,
    READY,
)

ROUTES: tuple[Route, ...] = (
    *_DESCRIBED,
    schema_route(_DESCRIBED),
    WIDGET,
    *DEMO_FILES,
    DEMO_ASKING,
    *DASHBOARD_FILES,
)
