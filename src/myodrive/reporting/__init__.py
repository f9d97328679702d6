"""One self-contained HTML file from results."""

from myodrive.reporting.page import report as report
from myodrive.reporting.page import write_report as write_report
