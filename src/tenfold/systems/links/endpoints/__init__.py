"""The doors of the link shortener: redirects and their pages, and the API."""

from tenfold.systems.links.endpoints.api import LinkEndpoints
from tenfold.systems.links.endpoints.redirect import Redirects, VisitorEndpoints

__all__ = ["LinkEndpoints", "Redirects", "VisitorEndpoints"]
