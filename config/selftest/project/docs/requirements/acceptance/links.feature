Feature: Links

  Background:
    Given the service is running

  @US-1
  Scenario: An address gets a code
    When an address is sent
    Then a code comes back

  @US-2
  Scenario: A code redirects
    Given a code that was made
    When the code is opened
    Then the answer redirects to its address
