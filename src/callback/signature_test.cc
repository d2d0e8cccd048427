#include "callback/signature.h"

#include <gtest/gtest.h>

#include "api/base64.h"
#include "api/signing_secret.h"

namespace sterna::callback {
namespace {

// The example of the Standard Webhooks specification's own libraries.
const std::string kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr std::string_view kId = "msg_p5jXN8AQM9LWM0D4loKWxJek";
constexpr std::int64_t kTime = 1614265330;
constexpr std::string_view kBody = R"({"test": 2432232314})";
constexpr std::string_view kSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

WallTime at(std::int64_t seconds) {
  return WallTime(std::chrono::seconds(seconds));
}

SignatureHeaders headers_with(std::string_view signature) {
  return {.webhook_id = kId, .webhook_timestamp = "1614265330", .webhook_signature = signature};
}

std::string reason_of(const Status& status) {
  return status ? "ok" : status.error().reason;
}

TEST(SignatureTest, IsTheOneOfTheStandard) {
  EXPECT_EQ(sign(std::span(&kSecret, 1), kId, kTime, kBody), kSignature);
}

TEST(SignatureTest, PiecesSignLikeTheWhole) {
  auto signer = Signer::create(std::span(&kSecret, 1), kId, kTime);
  ASSERT_TRUE(signer);
  for (const char c : kBody) signer->update({&c, 1});
  EXPECT_EQ(signer->finish(), kSignature);
}

TEST(SignatureTest, EachSecretSignsDuringARotation) {
  const std::vector<std::string> secrets{api::new_signing_secret(), kSecret};
  const auto both = sign(secrets, kId, kTime, kBody);
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->ends_with(" " + std::string(kSignature)));
  for (const auto& secret : secrets) EXPECT_TRUE(verify(secret, headers_with(*both), kBody, at(kTime)));
  EXPECT_EQ(reason_of(verify(api::new_signing_secret(), headers_with(*both), kBody, at(kTime))),
            "signature_wrong");
}

TEST(SignatureTest, SecretsMustHaveTheirForm) {
  for (const std::string& secret :
       {std::string("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), std::string("whsec_"), std::string("whsec_%"),
        "whsec_" + api::base64_encode(std::string(65, 'x'))}) {
    const auto signature = sign(std::span(&secret, 1), kId, kTime, kBody);
    ASSERT_FALSE(signature) << secret;
    EXPECT_EQ(signature.error().reason, "bad_signing_secret");
  }
}

TEST(VerifyTest, ChecksEveryPart) {
  EXPECT_EQ(reason_of(verify(kSecret, headers_with(kSignature), kBody, at(kTime))), "ok");
  EXPECT_EQ(reason_of(verify(kSecret, headers_with(kSignature), "other", at(kTime))), "signature_wrong");
  EXPECT_EQ(reason_of(verify(kSecret, headers_with("v1,AAAA v2,x"), kBody, at(kTime))), "signature_wrong");
  SignatureHeaders headers = headers_with(kSignature);
  headers.webhook_id = "other";
  EXPECT_EQ(reason_of(verify(kSecret, headers, kBody, at(kTime))), "signature_wrong");
  headers = headers_with(kSignature);
  headers.webhook_timestamp = "1614265331";
  EXPECT_EQ(reason_of(verify(kSecret, headers, kBody, at(kTime))), "signature_wrong");
  EXPECT_EQ(reason_of(verify("whsec_!", headers, kBody, at(kTime))), "bad_signing_secret");
}

TEST(VerifyTest, TellsMissingHeadersAndBrokenTimes) {
  EXPECT_EQ(reason_of(verify(kSecret, headers_with(""), kBody, at(kTime))), "signature_missing");
  for (const char* time : {"x", "1614265330 ", "-5", "99999999999999999999", "9223372036854775807"}) {
    SignatureHeaders headers = headers_with(kSignature);
    headers.webhook_timestamp = time;
    EXPECT_EQ(reason_of(verify(kSecret, headers, kBody, at(kTime))), "signature_wrong") << time;
  }
}

TEST(VerifyTest, TheTimeMustBeNear) {
  const auto check = [](std::int64_t now) {
    return reason_of(verify(kSecret, headers_with(kSignature), kBody, at(now)));
  };
  EXPECT_EQ(check(kTime + 300), "ok");
  EXPECT_EQ(check(kTime + 301), "signature_too_old");
  EXPECT_EQ(check(kTime - 300), "ok");
  EXPECT_EQ(check(kTime - 301), "signature_too_new");
}

}  // namespace
}  // namespace sterna::callback
