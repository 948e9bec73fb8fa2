Feature: Creating short links

  @US-1
  Scenario: A valid address is shortened
    Given a running service
    When an author shortens "https://example.com/a/very/long/address"
    Then the answer has a code of eight letters or digits
    And following the short link leads to "https://example.com/a/very/long/address"

  @US-1
  Scenario Outline: A target that breaks a rule is refused
    Given a running service
    When an author shortens "<target>"
    Then the answer is a problem with status 422
    And its detail says "<reason>"

    Examples:
      | target                     | reason                                             |
      | javascript:alert(1)        | Only http and https addresses can be shortened.    |
      | not an address             | The address is not a complete URL.                 |
      | https://me@example.com/    | The address must not contain a user name or password. |

  @US-2
  Scenario: A free alias becomes the code
    Given a running service
    When an author shortens "https://example.com/launch" with the alias "launch"
    Then the short link ends with "/launch"

  @US-2
  Scenario: An alias of another address is refused
    Given a link "launch" that leads to "https://example.com/launch"
    When an author shortens "https://example.org/" with the alias "launch"
    Then the answer is a problem with status 409
    And "launch" still leads to "https://example.com/launch"
