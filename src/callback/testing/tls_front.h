// For tests: nginx on loopback that speaks TLS and HTTP/2 and passes requests on to a server of the test.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

extern char** environ;

namespace sterna::callback::testing {

class TlsFront {
 public:
  // The certificate is its own authority, for 127.0.0.1 and good.test. `protocols`: words of nginx's
  // `listen`, e.g. "ssl http2". Requests below / go to `upstream` with X-Protocol and X-Connection; /down
  // redirects to plain HTTP there.
  TlsFront(std::string_view protocols, const std::string& upstream) : port_(free_port()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "sterna-tls-XXXXXX").string();
    STERNA_ASSERT(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=sterna test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:good.test",
         "-keyout", folder_ + "/key.pem", "-out", ca_file()});
    write_configuration(protocols, upstream);
    nginx_ = start({"nginx", "-p", folder_, "-c", folder_ + "/nginx.conf", "-e", folder_ + "/error.log"});
    wait_until_it_listens();
  }
  ~TlsFront() {
    if (nginx_ > 0) {
      ::kill(nginx_, SIGKILL);
      ::waitpid(nginx_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  std::string ca_file() const { return folder_ + "/cert.pem"; }
  std::string port() const { return std::to_string(port_); }
  std::string url(std::string_view path, std::string_view host = "127.0.0.1") const {
    return fmt::format("https://{}:{}{}", host, port_, path);
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  static std::uint16_t free_port() {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    STERNA_ASSERT(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    STERNA_ASSERT(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return ntohs(address.sin_port);
  }

  // The programs' own words are of no interest unless the test fails anyhow.
  pid_t start(std::vector<std::string> words) const {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string output = folder_ + "/output.txt";
    posix_spawn_file_actions_addopen(&actions, 2, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t pid = 0;
    const int failed = posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(failed, 0) << words[0] << " is needed: scripts/install-deps test";
    return failed == 0 ? pid : 0;
  }

  void run(std::vector<std::string> words) const {
    const pid_t pid = start(std::move(words));
    int status = -1;
    if (pid > 0) ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }

  void write_configuration(std::string_view protocols, const std::string& upstream) const {
    std::string temporary;
    for (const char* name : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      temporary += fmt::format("{}_temp_path {}/{};\n", name, folder_, name);
    }
    std::ofstream(folder_ + "/nginx.conf") << fmt::format(R"(
daemon off; master_process off; pid {0}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 100m; {1}
  server {{
    listen 127.0.0.1:{2} {3};
    ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem;
    location / {{
      proxy_pass {4}; proxy_set_header X-Protocol $server_protocol; proxy_set_header X-Connection $connection;
    }}
    location /down {{ return 307 {4}/; }}
  }}
}})",
                                                          folder_, temporary, port_, protocols, upstream);
  }

  void wait_until_it_listens() const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    const sockaddr_in address = loopback(port_);
    while (std::chrono::steady_clock::now() < deadline) {
      const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return;
      std::this_thread::yield();
    }
    ADD_FAILURE() << "nginx does not listen";
  }

  std::uint16_t port_;
  std::string folder_;
  pid_t nginx_ = 0;
};

}  // namespace sterna::callback::testing
