#include "gateway/oauth_request.h"

#include <gtest/gtest.h>

#include "api/base64.h"

namespace sterna::gateway {
namespace {

constexpr std::string_view kForm = "application/x-www-form-urlencoded";
constexpr std::string_view kGrant = "grant_type=client_credentials";

class TokenRequestTest : public ::testing::Test {
 protected:
  // The client and the scope, or the error.
  std::string ask(std::string_view body, const std::vector<std::string>& authorization = {}) {
    OauthInput input{.query = query_, .content_type = type_, .authorization = {}, .body = body};
    for (const std::string& value : authorization) input.authorization.emplace_back(value);
    const auto request = parse_token_request(input);
    if (!request) {
      EXPECT_EQ(request.error().status, request.error().error == "invalid_client" ? 401U : 400U);
      EXPECT_FALSE(request.error().description.empty());
      return request.error().error;
    }
    return request->client.id + "/" + request->client.secret + "/" + request->scope.value_or("-");
  }
  static std::string basic(std::string_view pair) { return "Basic " + api::base64_encode(pair); }

  std::string_view query_;
  std::string_view type_ = kForm;
};

TEST_F(TokenRequestTest, TakesTheSecretFromTheForm) {
  EXPECT_EQ(ask("grant_type=client_credentials&client_id=a&client_secret=b"), "a/b/-");
  EXPECT_EQ(ask("client_secret=%62+c&scope=function.read+app&client_id=a&grant_type=client_credentials&x=y"),
            "a/b c/function.read app");
  type_ = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
  EXPECT_EQ(ask("grant_type=client_credentials&client_id=a&client_secret=b&scope="), "a/b/-");
}

TEST_F(TokenRequestTest, TakesTheSecretFromBasic) {
  EXPECT_EQ(ask(kGrant, {basic("a:b")}), "a/b/-");
  EXPECT_EQ(ask(kGrant, {"bAsIc " + api::base64_encode("a:b:c%3A")}), "a/b:c:/-");
  EXPECT_EQ(ask(std::string(kGrant) + "&client_id=a", {basic("a:b")}), "a/b/-");
}

TEST_F(TokenRequestTest, RefusesMalformedBasic) {
  for (const char* value : {"Basic", "Basic ", "Basic !!!!", "Basic YQ", "Bearer x", "", "Basic YQ=="})
    EXPECT_EQ(ask(kGrant, {value}), "invalid_client") << value;
  EXPECT_EQ(ask(kGrant, {basic("a%:b")}), "invalid_client");
  EXPECT_EQ(ask(kGrant, {basic("a:%zz")}), "invalid_client");
}

TEST_F(TokenRequestTest, RefusesTwoWaysAtOnce) {
  EXPECT_EQ(ask(std::string(kGrant) + "&client_secret=b", {basic("a:b")}), "invalid_request");
  EXPECT_EQ(ask(std::string(kGrant) + "&client_id=other", {basic("a:b")}), "invalid_request");
  EXPECT_EQ(ask(kGrant, {basic("a:b"), basic("a:b")}), "invalid_request");
}

TEST_F(TokenRequestTest, RefusesRepeatedParameters) {
  EXPECT_EQ(ask("grant_type=client_credentials&client_id=a&client_secret=b&client_id=a"), "invalid_request");
  EXPECT_EQ(ask("grant_type=client_credentials&grant_type=client_credentials", {basic("a:b")}),
            "invalid_request");
  EXPECT_EQ(ask("grant_type=client_credentials&scope=&scope=app", {basic("a:b")}), "invalid_request");
}

TEST_F(TokenRequestTest, RefusesOtherGrants) {
  EXPECT_EQ(ask("grant_type=password", {basic("a:b")}), "unsupported_grant_type");
  EXPECT_EQ(ask("grant_type=Client_Credentials", {basic("a:b")}), "unsupported_grant_type");
  EXPECT_EQ(ask("", {basic("a:b")}), "invalid_request");
  EXPECT_EQ(ask("grant_type=", {basic("a:b")}), "invalid_request");
}

TEST_F(TokenRequestTest, RefusesMissingAndBrokenParts) {
  EXPECT_EQ(ask(kGrant), "invalid_client");
  EXPECT_EQ(ask(std::string(kGrant) + "&client_id=a"), "invalid_client");
  EXPECT_EQ(ask(std::string(kGrant) + "&client_id=a&client_secret=%zz"), "invalid_request");
  EXPECT_EQ(ask(std::string(kGrant) + "&client_id=a%00&client_secret=b"), "invalid_request");
  type_ = "application/json";
  EXPECT_EQ(ask(R"({"grant_type":"client_credentials"})", {basic("a:b")}), "invalid_request");
  type_ = "";
  EXPECT_EQ(ask(kGrant, {basic("a:b")}), "invalid_request");
}

TEST_F(TokenRequestTest, RefusesSecretsInTheUrl) {
  query_ = "client_id=a&client_secret=b&grant_type=client_credentials";
  EXPECT_EQ(ask("", {}), "invalid_request");
}

TEST(RevokeRequestTest, NeedsATokenAndAClient) {
  const std::string value = "Basic " + api::base64_encode("a:b");
  const auto ask = [&](std::string_view body) {
    return parse_revoke_request({.query = {}, .content_type = kForm, .authorization = {value}, .body = body});
  };
  EXPECT_EQ(ask("token=t&token_type_hint=refresh_token")->token, "t");
  EXPECT_EQ(ask("token=").error().error, "invalid_request");
  EXPECT_EQ(ask("token=t&token=u").error().error, "invalid_request");
  EXPECT_EQ(parse_revoke_request({.query = {}, .content_type = kForm, .authorization = {}, .body = "token=t"})
                .error()
                .error,
            "invalid_client");
}

}  // namespace
}  // namespace sterna::gateway
