Feature: Using short links

  @US-3
  Scenario: Links are listed newest first and can be deleted
    Given the links "first" and "second", created in this order
    When the author lists the links
    Then "second" is listed before "first"
    And after deleting "second" only "first" is listed

  @US-4
  Scenario: Visits are counted per day
    Given a link "launch" without visits
    When a reader follows "launch" 3 times
    Then its statistics show 3 visits in all and 3 visits today

  @US-5
  Scenario: A short link redirects at once
    Given a link "launch" that leads to "https://example.com/launch"
    When a reader follows "launch"
    Then the answer is a 302 redirect to "https://example.com/launch"

  @US-5
  Scenario: An unknown short link is not found
    Given a running service
    When a reader follows "nowhere"
    Then the answer is a problem with status 404
