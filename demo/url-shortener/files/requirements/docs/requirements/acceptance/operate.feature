Feature: Operating the service

  @US-6
  Scenario: Links survive a restart
    Given a link "launch" with 2 visits
    When the operator stops the service and starts it again
    Then "launch" still redirects
    And its statistics still show the 2 visits

  @US-6
  Scenario: Health and metrics are reported
    Given a running service with 1 link
    When the operator asks for health and metrics
    Then the health is "ok"
    And the metrics hold "links_total 1"

  @US-7
  Scenario: All links are exported as SQL
    Given a link "launch" with 2 visits
    When the analyst downloads the export
    Then it is one transaction that inserts the link and its day with 2 visits
