// Receivers check our signatures with the npm package `standardwebhooks`: the same package, on what was
// received.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include "api/signing_secret.h"
#include "callback/signature.h"
#include "callback/testing/sender_fixture.h"

namespace sterna::callback {
namespace {

using testing::Received;
using testing::reply_with;
using testing::ScriptedServer;

constexpr int kRefused = 3;  // tests/webhooks/verify.js

// Answers the exit status of tests/webhooks/verify.js.
int verify_with_npm(const std::string& secret, const Received& request, std::string body) {
  const std::string verify = std::string(STERNA_WEBHOOKS_DIR) + "/verify.js";
  std::vector<std::string> words{"node",
                                 verify,
                                 secret,
                                 request.header("webhook-id"),
                                 request.header("webhook-timestamp"),
                                 request.header("webhook-signature"),
                                 std::move(body)};
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  if (posix_spawnp(&pid, "node", nullptr, nullptr, arguments.data(), environ) != 0) return -1;
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

using SignatureNpmTest = testing::SenderTest;

TEST_F(SignatureNpmTest, TheReceiversLibraryAcceptsWhatWeSend) {
  ScriptedServer server([](const Received&) { return reply_with("200 OK"); });
  Post post = post_to(server.url(), R"({"text": "Grüße", "n": 1})");
  post.secrets = {api::new_signing_secret(), api::new_signing_secret()};  // during a rotation
  const auto secrets = post.secrets;
  ASSERT_EQ(send(std::move(post)).verdict, Verdict::kDelivered);
  const Received request = server.received().at(0);
  for (const auto& secret : secrets) {
    EXPECT_EQ(verify_with_npm(secret, request, request.body), 0)
        << "scripts/install-deps test installs the package";
  }
  EXPECT_EQ(verify_with_npm(api::new_signing_secret(), request, request.body), kRefused);
  EXPECT_EQ(verify_with_npm(secrets[0], request, request.body + " "), kRefused);
}

}  // namespace
}  // namespace sterna::callback
